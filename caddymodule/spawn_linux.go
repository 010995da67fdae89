package caddymodule

// defaultSpawn: workers forked from one master share its OPcache.
const defaultSpawn = spawnShared
