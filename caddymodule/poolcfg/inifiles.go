package poolcfg

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
)

// INIFiles are ini files that were read for plans, by path. One map can serve all plans of a
// config, which usually have the same php.ini: a file is read again only if its state
// ([FileStates]) has changed. It must not be used concurrently.
type INIFiles map[string]iniFile

type iniFile struct {
	state string // before it was read
	text  string
	sum   string // a hash of the text
}

// readINI returns an ini file of php-cgi. Inputs must have been set.
func (p *Plan) readINI(path string) (iniFile, error) {
	if f, ok := p.iniFiles[path]; ok && f.state == p.Inputs[path] {
		return f, nil
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return iniFile{}, err
	}
	sum := sha256.Sum256(text)
	f := iniFile{p.Inputs[path], string(text), hex.EncodeToString(sum[:])}
	if p.iniFiles != nil {
		p.iniFiles[path] = f
	}
	return f, nil
}
