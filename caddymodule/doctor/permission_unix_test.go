//go:build unix

package doctor

import (
	"os"
	"strings"
	"testing"

	"github.com/mevdschee/caddy-php-pool/phpbin"
)

func TestPermission_FileMode(t *testing.T) {
	dir := t.TempDir()
	info, err := os.Stat(dir)
	if err != nil {
		t.Fatal(err)
	}
	st := owner(info)
	other, friend := st.Uid+7, &phpbin.Credential{UID: st.Uid + 7, GID: st.Gid}
	member := &phpbin.Credential{UID: other, GID: st.Gid + 7, Groups: []uint32{st.Gid + 8, st.Gid}}
	stranger := &phpbin.Credential{UID: other, GID: st.Gid + 7}
	for _, c := range []struct {
		mode os.FileMode
		who  *phpbin.Credential
		may  bool
	}{
		{0o700, nil, true},
		{0o700, stranger, false},
		{0o770, stranger, false},
		{0o773, stranger, true},
		{0o772, stranger, false}, // write but not enter
		{0o770, friend, true},
		{0o750, friend, false},
		{0o770, member, true},
		{0o707, member, false}, // a member has the group's permissions, not those of others
		{0o777, stranger, true},
	} {
		if err := os.Chmod(dir, c.mode); err != nil {
			t.Fatal(err)
		}
		if err := checkWritable(dir, c.who); (err == nil) != c.may {
			t.Errorf("mode %o, %+v: got %v", c.mode, c.who, err)
		}
	}
	os.Chmod(dir, 0o700)
	if err := checkWritable(write(t, dir, "file", ""), nil); err == nil || !strings.Contains(err.Error(), "not a directory") {
		t.Errorf("a file: got %v", err)
	}
	if err := checkWritable(dir+"/absent", nil); err == nil {
		t.Error("a missing directory: got no error")
	}
	if root := (&phpbin.Credential{}); checkWritable(dir, root) != nil {
		t.Error("root: got an error")
	}
}
