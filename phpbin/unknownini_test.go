package phpbin_test

import (
	"slices"
	"testing"

	"github.com/mevdschee/caddy-php-pool/phpbin"
)

func TestDetect_UnknownINI(t *testing.T) {
	o := ini("memory_limt", "256M", "memory_limit", "256M", "opcache.enabel", "1", "no.such.directive", "1", "my_app_setting", "x",
		"mysqlnd.collect_statistics", "0", "cgi.fix_pathinfo", "1", "open_basedir", "/", "Memory_Limit", "1M", "memory_limt", "1M")
	o.AdminINI, o.AdminDirs = []phpbin.Setting{{Name: "open_basdir", Value: "/"}, {Name: "display_errors", Value: "0"}}, []string{"/srv"}
	b, err := phpbin.Detect(testContext(t), php(t), o)
	if err != nil {
		t.Fatal(err)
	}
	want := []phpbin.UnknownSetting{
		{Name: "Memory_Limit", Similar: "memory_limit"},
		{Name: "memory_limt", Similar: "memory_limit"},
		{Name: "my_app_setting"},
		{Name: "mysqlnd.collect_statistics"},
		{Name: "no.such.directive"},
		{Name: "opcache.enabel", Similar: "opcache.enable"},
		{Name: "open_basdir", Similar: "open_basedir"},
	}
	info, err := phpbin.ReadPHPInfo(testContext(t), php(t), phpbin.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if slices.Contains(info.Extensions, "mysqlnd") { // which does not show its settings
		want = slices.DeleteFunc(want, func(u phpbin.UnknownSetting) bool { return u.Name == "mysqlnd.collect_statistics" })
	}
	if !slices.Equal(b.UnknownINI, want) {
		t.Errorf("got %+v, want %+v", b.UnknownINI, want)
	}
}

// A setting of an extension is known if the options themselves load the extension.
func TestDetect_INIOfLoadedExtension(t *testing.T) {
	none := t.TempDir()
	for name, c := range map[string]struct {
		load string
		want []phpbin.UnknownSetting
	}{
		"loaded":     {"exif", nil},
		"not loaded": {"ctype", []phpbin.UnknownSetting{{Name: "exif.encode_unicode"}}},
	} {
		o := ini("extension", c.load, "exif.encode_unicode", "UTF-8")
		o.INIScanDir = &none
		b, err := phpbin.Detect(testContext(t), php(t), o)
		if err != nil {
			t.Fatal(err)
		}
		if len(b.Warnings) > 0 {
			t.Fatalf("%s: %q", name, b.Warnings)
		}
		if !slices.Equal(b.UnknownINI, c.want) {
			t.Errorf("%s: got %+v, want %+v", name, b.UnknownINI, c.want)
		}
	}
}
