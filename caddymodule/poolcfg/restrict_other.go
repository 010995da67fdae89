//go:build !linux

package poolcfg

// defaultSpawn: the shared way needs Linux.
const defaultSpawn = SpawnSingle

// canRestrict: that each process has its umask and no_new_privs needs Linux.
const canRestrict = false
