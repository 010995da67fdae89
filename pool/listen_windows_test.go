package pool

import "testing"

// localListener returns the network and the address on which a php-cgi listens here.
func localListener(testing.TB) (network, address string) { return "tcp4", "127.0.0.1:0" }
