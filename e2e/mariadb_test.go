//go:build linux

package e2e

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// startMariaDB runs a server of the test's own on a unix socket, with empty
// databases that whoever reaches the socket may use.
func startMariaDB(t *testing.T, databases ...string) (socket string) {
	t.Helper()
	const bin = "/usr/sbin/mariadbd"
	if _, err := os.Stat(bin); err != nil {
		t.Fatal("MariaDB is missing: run make deps")
	}
	dir := tempDir(t)
	socket = filepath.Join(dir, "mariadb.sock")
	data := filepath.Join(dir, "data")
	if err := os.Mkdir(data, 0o755); err != nil {
		t.Fatal(err)
	}
	giveToPHP(t, dir)
	user := "--user=" + phpUser(t).Username
	install := exec.Command("mariadb-install-db", "--no-defaults", "--datadir="+data, "--skip-test-db", "--skip-name-resolve", user)
	if out, err := install.CombinedOutput(); err != nil {
		t.Fatalf("mariadb-install-db: %v: %s", err, out)
	}
	create := "create database " + strings.Join(databases, ";\ncreate database ") + ";\n"
	writeFile(t, filepath.Join(dir, "init.sql"), create)

	log := filepath.Join(dir, "mariadb.log")
	keep(t, command{
		Args: []string{
			bin, "--no-defaults", "--datadir=" + data, "--socket=" + socket, "--pid-file=" + filepath.Join(dir, "mariadb.pid"),
			"--skip-networking", "--skip-grant-tables", "--init-file=" + filepath.Join(dir, "init.sql"), user,
			"--innodb-flush-log-at-trx-commit=0", "--innodb-buffer-pool-size=32M",
		},
		Env: []string{"PATH=" + os.Getenv("PATH")},
		Dir: dir,
		Log: log,
	})
	eventually(t, func() error {
		conn, err := net.Dial("unix", socket)
		if err != nil {
			return fmt.Errorf("MariaDB does not answer: %w\n%s", err, tail(readFile(t, log)))
		}
		return conn.Close()
	})
	return socket
}
