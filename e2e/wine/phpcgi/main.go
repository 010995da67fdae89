// Command phpcgi takes the place of php-cgi.exe, which the tests cannot download. It has
// php-cgi's options -v, -i and -b, serves one connection at a time, and runs no PHP: the query
// string says what a script does.
package main

import (
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/mevdschee/caddy-php-pool/fastcgi/fastcgitest"
)

const version = "8.3.99"

func main() {
	args := os.Args[1:]
	if i := slices.Index(args, "-b"); i >= 0 && i+1 < len(args) {
		fmt.Fprintln(os.Stderr, "php-cgi:", serve(args[i+1]))
		os.Exit(255)
	}
	if slices.Contains(args, "-i") {
		fmt.Printf("<h1 class=\"p\">PHP Version %s</h1>\n<table><tr><td class=\"e\">Server API </td><td class=\"v\">CGI/FastCGI </td></tr></table>\n", version)
		return
	}
	fmt.Printf("PHP %s (cgi-fcgi) (built: Jan  1 2026 00:00:00)\n", version)
}

// serve serves until it fails.
func serve(address string) error {
	l, err := net.Listen("tcp4", address)
	if err != nil {
		return err
	}
	for {
		conn, err := l.Accept()
		if err != nil {
			return err
		}
		_ = fastcgitest.Serve(conn, run) // until the web server closes it
		conn.Close()
	}
}

// run is the script of a request.
func run(r *fastcgitest.Request) fastcgitest.Response {
	name, value, _ := strings.Cut(r.Params["QUERY_STRING"], "=")
	switch name {
	case "crash":
		os.Exit(3)
	case "sleep":
		if d, err := time.ParseDuration(value); err == nil {
			time.Sleep(d)
		}
	}
	return fastcgitest.OK(fmt.Sprintf("%d %s %d", os.Getpid(), r.Params["SCRIPT_FILENAME"], len(r.Body)))
}
