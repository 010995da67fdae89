//go:build linux

package harness

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// StartMariaDB runs a database server on a unix socket, with empty databases that
// anyone who can open the socket may use.
func StartMariaDB(tb testing.TB, databases ...string) (socket string) {
	tb.Helper()
	const bin = "/usr/sbin/mariadbd"
	if _, err := os.Stat(bin); err != nil {
		tb.Fatal("MariaDB is missing: run make deps")
	}
	dir := TempDir(tb)
	socket = filepath.Join(dir, "mariadb.sock")
	data := filepath.Join(dir, "data")
	if err := os.Mkdir(data, 0o755); err != nil {
		tb.Fatal(err)
	}
	// Another server that starts removes temporary tables from a directory that both use.
	temporary := filepath.Join(dir, "tmp")
	if err := os.Mkdir(temporary, 0o755); err != nil {
		tb.Fatal(err)
	}
	ChownToPHP(tb, dir)
	user := "--user=" + PHPUser(tb).Username
	install := exec.Command("mariadb-install-db", "--no-defaults", "--datadir="+data, "--tmpdir="+temporary, "--skip-test-db", "--skip-name-resolve", user)
	if out, err := install.CombinedOutput(); err != nil {
		tb.Fatalf("mariadb-install-db: %v: %s", err, out)
	}
	create := "create database " + strings.Join(databases, ";\ncreate database ") + ";\n"
	WriteFile(tb, filepath.Join(dir, "init.sql"), create)

	log := filepath.Join(dir, "mariadb.log")
	Supervise(tb, Command{
		Args: []string{
			bin, "--no-defaults", "--datadir=" + data, "--tmpdir=" + temporary, "--socket=" + socket, "--pid-file=" + filepath.Join(dir, "mariadb.pid"),
			"--skip-networking", "--skip-grant-tables", "--init-file=" + filepath.Join(dir, "init.sql"), user,
			"--innodb-flush-log-at-trx-commit=0", "--innodb-buffer-pool-size=32M",
		},
		Env: []string{"PATH=" + os.Getenv("PATH")},
		Dir: dir,
		Log: log,
	})
	Eventually(tb, func() error {
		conn, err := net.Dial("unix", socket)
		if err != nil {
			return fmt.Errorf("MariaDB does not listen: %w\n%s", err, tail(ReadFile(tb, log)))
		}
		return conn.Close()
	})
	return socket
}
