// Package security tests what php_pool promises against hostile clients, scripts and
// neighbours: known attacks, floods, other users' pools, secrets and file access.
package security
