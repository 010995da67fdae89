//go:build linux

package wine

import (
	"flag"
	"fmt"
	"os"
	"testing"

	"github.com/mevdschee/caddy-php-pool/e2e/harness"
)

var (
	wineFlag = flag.String("wine", "", "the program that runs programs for Windows")
	exeFlag  = flag.String("caddy-exe", "", "caddy.exe")
	phpFlag  = flag.String("php-exe", "", "the program in place of php-cgi.exe")
)

func TestMain(m *testing.M) {
	if os.Getenv("PHP_POOL_E2E_KEEPER") != "" {
		harness.Main(m) // this process supervises a command
	}
	flag.Parse()
	if *wineFlag == "" || *exeFlag == "" || *phpFlag == "" {
		fmt.Fprintln(os.Stderr, "these tests need Wine and programs for Windows: make test-wine")
		os.Exit(1)
	}
	os.Exit(m.Run())
}
