// Package examples tests what is in the directory examples, with the types of Kubernetes.
// It is its own module, because those are not dependencies of php_pool.
package examples
