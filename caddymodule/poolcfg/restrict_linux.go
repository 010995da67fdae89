package poolcfg

// defaultSpawn: workers forked from one master share its OPcache.
const defaultSpawn = SpawnShared

// canRestrict: processes can have a umask of their own, and be kept from gaining
// privileges.
const canRestrict = true
