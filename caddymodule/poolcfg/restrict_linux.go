package poolcfg

// canRestrict reports whether workers can have their own umask and no_new_privs.
const canRestrict = true
