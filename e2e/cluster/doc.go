// Package cluster tests several machines: a balancer, three with PHP, and redis. Each is a
// network namespace with one interface on a bridge in a further namespace, which root
// makes and removes. All traffic stays in them. The balancer's Caddyfile is that of
// docs/scaling.md.
//
//	network_test.go  the namespaces
//	machines_test.go what runs in them
//	load_test.go     clients, and what they have seen
//	cluster_test.go  the tests
//	deploy_test.go   those of releases
package cluster
