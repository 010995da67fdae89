package livetest

// listenOn returns the network and the address of a worker, as phpbin has them.
func (*socketPHP) listenOn(string) (network, address string) { return "tcp4", "127.0.0.1:0" }
