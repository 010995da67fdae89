//go:build !race

package fastcgi

import (
	"testing"

	"github.com/mevdschee/caddy-php-pool/internal/instructions"
)

func TestInstructionsOfEncoding(t *testing.T) {
	instructions.Hold(t, 5030, func() {
		r := NewRequest()
		addParams(r)
		if _, mark, _, err := r.seal(); err == nil {
			r.unseal(mark)
		}
		r.Free()
	})
}

func TestInstructionsOfParsingAHead(t *testing.T) {
	instructions.Hold(t, 4986, func() {
		if _, err := parseHead("X-Powered-By: PHP/8.2\r\nContent-type: text/html; charset=UTF-8\r\n"); err != nil {
			t.Fatal(err)
		}
	})
}

// TestInstructionsOfAnExchange is that of a request and a whole answer, which a
// goroutine gives that does little else.
func TestInstructionsOfAnExchange(t *testing.T) {
	client, server := socketPair(t)
	go repeatAnswer(server)
	c := NewConn(client)
	instructions.Hold(t, 22800, func() { exchangeOnce(t.Context(), t, c, addParams) })
}
