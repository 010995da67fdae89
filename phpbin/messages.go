package phpbin

// What php-cgi answers, with status 403 or 404, when it cannot open a script
// (sapi/cgi/cgi_main.c: php_fopen_primary_script failed). It says AccessDenied
// only where the system has (EACCES).
const (
	AccessDenied = "Access denied.\n"
	NoInputFile  = "No input file specified.\n"
)
