//go:build !race

package fastcgi

import (
	"testing"

	"github.com/mevdschee/caddy-php-pool/internal/instructions"
)

func TestInstructionsOfEncoding(t *testing.T) {
	instructions.Hold(t, 4834, encodeOnce)
}

func TestInstructionsOfParsingAHead(t *testing.T) {
	instructions.Hold(t, 4018, func() {
		if _, err := parseHead(headOfPHP); err != nil {
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
	instructions.Hold(t, 21700, func() { exchangeOnce(t.Context(), t, c, addParams) })
}
