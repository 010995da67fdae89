//go:build !linux

package caddymodule

// defaultSpawn: the shared way needs Linux.
const defaultSpawn = spawnSingle

// canRestrict: that each process has its umask and no_new_privs needs Linux.
const canRestrict = false
