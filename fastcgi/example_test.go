package fastcgi_test

import (
	"context"
	"fmt"
	"io"
	"net"

	"github.com/mevdschee/caddy-php-pool/fastcgi"
	"github.com/mevdschee/caddy-php-pool/fastcgi/fastcgitest"
)

func ExampleConn() {
	client, server := net.Pipe()
	go fastcgitest.Serve(server, func(r *fastcgitest.Request) fastcgitest.Response {
		return fastcgitest.OK("Hello, " + r.Params["HTTP_USER_AGENT"] + "!")
	})
	c := fastcgi.NewConn(client)
	defer c.Close()

	r := fastcgi.NewRequest()
	defer r.Free()
	r.AddParam("REQUEST_METHOD", "GET")
	r.AddParam("SCRIPT_FILENAME", "/srv/www/hello.php")
	r.AddHeader("User-Agent", []string{"Firefox"})
	resp, err := c.RoundTrip(context.Background(), r)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(resp.Status, resp.Header)
	fmt.Println(string(body))
	fmt.Println("reusable:", c.Reusable())
	// Output:
	// 200 OK map[Content-Type:[text/plain]]
	// Hello, Firefox!
	// reusable: true
}
