//go:build !linux

package caddymodule

// defaultSpawn: the shared way needs Linux.
const defaultSpawn = spawnSingle
