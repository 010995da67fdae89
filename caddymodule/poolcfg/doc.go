// Package poolcfg holds the options of a pool: their defaults and validation, the
// sizes that follow from them, the user that PHP runs as, and the Plan that says
// how php-cgi is started.
package poolcfg
