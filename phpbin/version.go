package phpbin

import (
	"cmp"
	"fmt"
	"regexp"
	"strconv"
)

// Version is a PHP release.
type Version struct {
	Major, Minor, Patch int
}

// String returns the version as PHP writes it, "8.2.36".
func (v Version) String() string {
	return fmt.Sprintf("%d.%d.%d", v.Major, v.Minor, v.Patch)
}

// Compare returns -1 if v is older than other, +1 if it is newer, else 0.
func (v Version) Compare(other Version) int {
	return cmp.Or(cmp.Compare(v.Major, other.Major), cmp.Compare(v.Minor, other.Minor), cmp.Compare(v.Patch, other.Patch))
}

// AtLeast reports whether v is the given version or newer.
func (v Version) AtLeast(major, minor int, patch ...int) bool {
	want := Version{Major: major, Minor: minor}
	if len(patch) > 0 {
		want.Patch = patch[0]
	}
	return v.Compare(want) >= 0
}

// versionLine matches the first line of php -v: "PHP 8.2.36 (cgi-fcgi) (built: …)".
// The version may have a suffix of a prerelease or a distribution: "8.5.0RC1".
var versionLine = regexp.MustCompile(`(?m)^PHP (\d+)\.(\d+)\.(\d+)(\S*) \(([a-z0-9-]+)\)`)

// parseVersion parses the output of php -v.
func parseVersion(output string) (v Version, text, sapi string, ok bool) {
	m := versionLine.FindStringSubmatch(output)
	if m == nil {
		return Version{}, "", "", false
	}
	for i, n := range []*int{&v.Major, &v.Minor, &v.Patch} {
		*n, _ = strconv.Atoi(m[i+1]) // matched as digits
	}
	return v, v.String() + m[4], m[5], true
}
