package caddymodule

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// The values of tune; the empty one is off.
const (
	tuneProduction  = "production"
	tuneDevelopment = "development"
)

// tunings are the settings that tune stands for. Each of them has earned its
// place: README has the figure and the risk, and names what was tried and is not
// here; `make bench-tune` repeats it.
var tunings = map[string]map[string]string{
	tuneProduction: {
		"opcache.revalidate_freq": "60",
	},
	tuneDevelopment: {
		"display_errors":          "1",
		"display_startup_errors":  "1",
		"error_reporting":         "32767", // E_ALL
		"opcache.revalidate_freq": "0",
		"zend.assertions":         "1",
	},
}

// tuneOption: tune production|development|off.
func tuneOption(d *caddyfile.Dispenser, o *PoolOptions) error {
	if err := oneString(d, &o.Tune); err != nil {
		return err
	}
	if err := o.checkTune(); err != nil {
		return d.WrapErr(err)
	}
	return nil
}

func (o *PoolOptions) checkTune() error {
	switch o.Tune {
	case "", off, tuneProduction, tuneDevelopment:
		return nil
	}
	return fmt.Errorf("tune %s is unknown: write production, development or off", o.Tune)
}

// tuned is what tune comes to in a pool.
type tuned struct {
	Mode string `json:"mode"`
	// Sets are the settings that it adds.
	Sets map[string]string `json:"sets"`
	// SetByFiles and SetByConfig are those that it leaves alone, since an ini file
	// or the config sets them, and to what.
	SetByFiles  map[string]string `json:"set_by_ini_files,omitempty"`
	SetByConfig map[string]string `json:"set_by_config,omitempty"`
	// Text is all of that in words.
	Text string `json:"text"`
}

// prepareTune lines up what tune would set; given are the settings of the config,
// which it leaves alone. Which of them the ini files leave to it tells the probe.
func (s *spec) prepareTune(given ...map[string]string) {
	wanted := tunings[s.options.Tune]
	if wanted == nil {
		return
	}
	s.tuned = &tuned{Mode: s.options.Tune, Sets: map[string]string{}, SetByConfig: map[string]string{}}
	free := maps.Clone(wanted)
	for _, values := range given { // the last one of a name is in force
		for name := range wanted {
			if value, ok := values[name]; ok {
				s.tuned.SetByConfig[name] = value
				delete(free, name)
			}
		}
	}
	s.process.Defaults = settings(free)
}

// tune takes over what the probe has found to be free.
func (s *spec) tune() {
	s.process.Defaults = nil // nobody has to ask again
	if s.tuned == nil {
		return
	}
	for _, d := range s.binary.Defaults {
		s.tuned.Sets[d.Name] = d.Value
	}
	s.tuned.SetByFiles = s.binary.INIValues
	s.tuned.Text = s.tuned.text()
	s.process.INI = slices.Concat(s.binary.Defaults, s.process.INI)
}

// text says it in one line.
func (t *tuned) text() string {
	parts := []string{"tune " + t.Mode + " sets " + iniText(t.Sets)}
	if len(t.SetByFiles) > 0 {
		parts = append(parts, "ini files set "+iniText(t.SetByFiles))
	}
	if len(t.SetByConfig) > 0 {
		parts = append(parts, "the config sets "+iniText(t.SetByConfig))
	}
	return strings.Join(parts, "; ")
}

// iniText is "a=1, b=2".
func iniText(values map[string]string) string {
	if len(values) == 0 {
		return "nothing"
	}
	var list []string
	for _, name := range slices.Sorted(maps.Keys(values)) {
		value := values[name]
		if value == "" {
			value = `""` // get_cfg_var() has Off as that too
		}
		list = append(list, name+"="+value)
	}
	return strings.Join(list, ", ")
}
