// Package doctor finds out what is wrong with PHP on a machine, and how to fix
// it. It runs every php-cgi that it finds, starts it as a worker, compares its
// settings with what sites usually need, and checks the system. It changes
// nothing and needs no running Caddy.
//
// Callers pass the pools ([Pool]); doctor does not read Caddy's configs. The
// report has a [Subject] for each thing that was checked, with its [Finding]s.
// A problem keeps scripts from running as they should, or is unsafe; a note is
// worth considering.
//
//	run.go             all checks: each php-cgi as the pools start it, pools, system
//	php.go             one php-cgi: version, OPcache, ini files, limits
//	selftest.go        one php-cgi: whether it works as a worker
//	debian.go          settings that only Debian's php-fpm has, not its php-cgi
//	startup_errors.go  startup warnings and errors of php-cgi, and their remedies
//	permission.go      directories that PHP must be able to write to
//	remedies.go        remedies that differ between systems
//	system.go          the machine
//	unit_linux.go      Caddy's systemd unit
//
// php-cgi is run without opcache.preload and error_log: no script of a site
// runs, and no log is written.
package doctor
