// Package doctor says what is wrong with PHP on a machine, and what to do about
// it: it asks every php-cgi that it finds what it is, starts it as a worker,
// compares its settings with what sites usually need, and looks at the system
// around it. It changes nothing and needs no running Caddy.
//
// What it knows of pools it is told ([Pool]); it knows nothing of Caddy's
// configs. Each thing that it looked at is a [Subject] with [Finding]s, each
// of them ok, a note or a problem. A problem is what keeps scripts from running
// as they should, or is unsafe; a note is worth a thought.
//
//	examine.go     which php-cgi are looked at, and as started by which pools
//	php.go         one php-cgi: what it says of itself
//	trial.go       one php-cgi: whether it works as a worker
//	debian.go      settings that Debian's php-fpm has and its php-cgi has not
//	complaint.go   what php-cgi complains of at its start, and the cures
//	permission.go  directories that PHP has to write to
//	system.go      the machine
//	unit.go        Caddy's systemd unit
//
// Of a php-cgi everything is asked as phpbin asks: opcache.preload is not run,
// error_log is not written to.
package doctor
