//go:build linux

package webservers

import (
	"testing"

	"github.com/mevdschee/caddy-php-pool/e2e/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }
