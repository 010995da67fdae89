//go:build linux

package apps

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/mevdschee/caddy-php-pool/e2e/harness"
)

// simpleSAMLSite has the application in a directory, as Debian's alias for Apache has.
const simpleSAMLSite = `
http://127.0.0.1:{$PORT} {
	root {$SITE}
	PHP {
		capture_stderr
	}
	file_server
}
`

// simpleSAMLConfig are the files of the configuration: an identity provider and a
// service that uses it, both at the address of the request.
var simpleSAMLConfig = map[string]string{
	"var/lib/simplesamlphp/secrets.inc.php": `<?php
$config['secretsalt'] = 'a salt that is not the default one';
$config['auth.adminpassword'] = 'an Admin & 1';
$config['baseurlpath'] = 'http://' . $_SERVER['HTTP_HOST'] . '/simplesaml/';
$config['certdir'] = '%[1]s/cert/';
$config['tempdir'] = '%[1]s/tmp/';
$config['timezone'] = 'UTC';
$config['logging.handler'] = 'errorlog';
$config['logging.level'] = SimpleSAML\Logger::ERR;
$config['statistics.out'] = [];
$config['errorreporting'] = false;
$config['admin.checkforupdates'] = false;
$config['session.cookie.secure'] = $config['language.cookie.secure'] = false;
$config['session.cookie.samesite'] = $config['language.cookie.samesite'] = 'Lax';
$config['session.phpsession.savepath'] = '%[1]s/tmp';
$config['enable.saml20-idp'] = true;
$config['module.enable']['exampleauth'] = true;
`,
	"etc/simplesamlphp/authsources.php": `<?php
$config = [
	'admin' => ['core:AdminPassword'],
	'default-sp' => ['saml:SP', 'idp' => 'http://' . $_SERVER['HTTP_HOST'] . '/simplesaml/saml2/idp/metadata.php'],
	'users' => ['exampleauth:UserPass', 'ada:a Secret & 1' => ['uid' => ['ada'], 'displayName' => ['Ada Lovelace & ünïcode']]],
];
`,
	"etc/simplesamlphp/metadata/saml20-idp-hosted.php": `<?php
$metadata['http://' . $_SERVER['HTTP_HOST'] . '/simplesaml/saml2/idp/metadata.php'] = [
	'host' => '__DEFAULT__', 'privatekey' => 'idp.key', 'certificate' => 'idp.crt', 'auth' => 'users',
];
`,
	"etc/simplesamlphp/metadata/saml20-idp-remote.php": `<?php
$metadata['http://' . $_SERVER['HTTP_HOST'] . '/simplesaml/saml2/idp/metadata.php'] = [
	'SingleSignOnService' => 'http://' . $_SERVER['HTTP_HOST'] . '/simplesaml/saml2/idp/SSOService.php',
	'SingleLogoutService' => 'http://' . $_SERVER['HTTP_HOST'] . '/simplesaml/saml2/idp/SingleLogoutService.php',
	'certificate' => 'idp.crt',
];
`,
	"etc/simplesamlphp/metadata/saml20-sp-remote.php": `<?php
$metadata['http://' . $_SERVER['HTTP_HOST'] . '/simplesaml/module.php/saml/sp/metadata.php/default-sp'] = [
	'AssertionConsumerService' => 'http://' . $_SERVER['HTTP_HOST'] . '/simplesaml/module.php/saml/sp/saml2-acs.php/default-sp',
	'SingleLogoutService' => 'http://' . $_SERVER['HTTP_HOST'] . '/simplesaml/module.php/saml/sp/saml2-logout.php/default-sp',
];
`,
}

// TestSimpleSAMLphp logs in to Debian's SimpleSAMLphp as its own identity provider,
// behind php_pool, and behind php_fastcgi with php-fpm.
func TestSimpleSAMLphp(t *testing.T) {
	t.Parallel()
	key, certificate := identity(t)
	harness.CompareWithFPM(t, harness.BothTransports, func(t *testing.T, b harness.Backend) []harness.RoundTrip {
		s := startSimpleSAML(t, b, key, certificate)
		r := s.Record(simpleSAMLMasks...)
		useSimpleSAML(s)
		return r.RoundTrips()
	})
}

func startSimpleSAML(t *testing.T, b harness.Backend, key, certificate []byte) *harness.Server {
	t.Helper()
	dir := harness.UnpackApp(t, "simplesamlphp")
	harness.MovePaths(t, dir, "etc/simplesamlphp/config.php")
	for file, content := range simpleSAMLConfig {
		if file == "var/lib/simplesamlphp/secrets.inc.php" {
			content = fmt.Sprintf(content, dir)
		}
		harness.WriteFile(t, filepath.Join(dir, file), content)
	}
	harness.WriteFile(t, filepath.Join(dir, "cert/idp.key"), string(key))
	harness.WriteFile(t, filepath.Join(dir, "cert/idp.crt"), string(certificate))
	site := filepath.Join(dir, "site")
	for _, name := range []string{site, filepath.Join(dir, "tmp")} {
		if err := os.Mkdir(name, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	harness.Symlink(t, "../usr/share/simplesamlphp/www", filepath.Join(site, "simplesaml"))
	harness.ChownToPHP(t, dir)
	return harness.Start(t, b, simpleSAMLSite, harness.Options{
		Site: site,
		INI:  [][2]string{{"error_reporting", "8191"}},
	})
}

// identity returns a private key and a certificate in PEM.
func identity(t *testing.T) (key, certificate []byte) {
	t.Helper()
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(24 * time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

var simpleSAMLMasks = []harness.Mask{
	harness.NewMask(`(Set-Cookie: SimpleSAML(?:AuthToken)?)=[^;]+`, "$1=SECRET"),
	harness.NewMask(`(SAMLRe(?:quest|sponse)(?:=|" value="))[\w%+/=]+`, "${1}MESSAGE"),
	harness.NewMask(`\b_[0-9a-f]{40,}\b`, "ID"),
	harness.NewMask(`((?:id="trackid"|name="reportId")[^>]*>)\w+`, "${1}ID"),
	harness.NewMask(`(cookieTime(?:=|%3D))\d+`, "${1}TIME"),
	harness.NewMask(`((?:Instant|Expire)&quot;: )\d+`, "${1}TIME"),
	harness.NewMask(`Etag: "[0-9a-f]{64}"`, `Etag: "TOKEN"`),
	harness.NewMask(`(SERVER_PORT</code></td><td class="attrvalue">)\d+`, "${1}PORT"),
	harness.NewMask(`MII[\w+/=\n]{300,}`, "CERTIFICATE"),
}

func useSimpleSAML(s *harness.Server) {
	t := s.T
	b := s.Browser()
	b.Open("/simplesaml/").MustContain("SimpleSAMLphp")
	b.Open("/simplesaml/module.php/core/frontpage_federation.php").MustContain("default-sp")
	b.Open("/simplesaml/resources/default.css")
	// This file is sent by a script, whose response is a download with conditions.
	const asset = "/simplesaml/module.php/core/assets/js/loginuserpass.js"
	changed := b.Open(asset).Header.Get("Last-Modified")
	s.Do(s.Request("HEAD", asset, nil)).Want(t, 200, "")
	s.Get(asset, "If-Modified-Since: "+changed).Want(t, 304, "")
	s.Get(asset, "Range: bytes=0-9").Want(t, 206, "")
	s.Get(asset, "Range: bytes=100000-")
	s.Get("/simplesaml/module.php/core/no-such-page.php")
	s.Get("/simplesaml/module.php")

	login := b.Open("/simplesaml/module.php/core/authenticate.php?as=default-sp").Form("username")
	login.Set("username", "ada", "password", "wrong").Submit().MustContain("Incorrect username or password")
	assertion := login.Set("username", "ada", "password", "a Secret & 1").Submit().Form("SAMLResponse")
	if xml, err := base64.StdEncoding.DecodeString(assertion.Values.Get("SAMLResponse")); err != nil || len(xml) < 1000 {
		t.Errorf("the assertion is %q, %v", xml, err)
	}
	assertion.Submit().MustContain("Ada Lovelace &amp; ünïcode")
	b.Open("/simplesaml/module.php/core/authenticate.php?as=default-sp&logout")

	b.Open("/simplesaml/saml2/idp/metadata.php").MustContain("EntityDescriptor")
	b.Open("/simplesaml/module.php/saml/sp/metadata.php/default-sp?output=xhtml").MustContain("AssertionConsumerService")
	admin := b.Open("/simplesaml/module.php/core/login-admin.php?ReturnTo=" + url.QueryEscape(s.URL+"/simplesaml/admin/hostnames.php"))
	admin.Form("password").Set("password", "an Admin & 1").Submit().MustContain("HTTP_HOST", s.URL)
}
