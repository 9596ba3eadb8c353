package main

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/BurntSushi/toml"
	"github.com/adrg/xdg"

	"hearsay/chat"
	"hearsay/cmd/program"
	"hearsay/tui"
)

const (
	configName    = "config.toml"
	configVersion = 1
	maxConfig     = 1 << 20 // bytes of a configuration
)

// fileConfig is what a configuration may hold.
type fileConfig struct {
	Version       int            `toml:"version"`
	Network       string         `toml:"network"` // of a home that is made
	Cover         string         `toml:"cover"`   // of a home that is made
	LockAfter     string         `toml:"lock_after"`
	Notify        string         `toml:"notify"`
	NotifyContent bool           `toml:"notify_content"`
	PathInBar     string         `toml:"path_in_bar"`
	Theme         string         `toml:"theme"`
	ASCII         bool           `toml:"ascii"`
	Mouse         bool           `toml:"mouse"`
	ReducedMotion bool           `toml:"reduced_motion"`
	DeleteAfter   string         `toml:"delete_after"`
	Keys          map[string]any `toml:"keys"`
}

// configKeys are the keys of a configuration, in the order in which they are
// written.
var configKeys = []string{
	"version", "network", "cover", "lock_after", "notify", "notify_content", "path_in_bar",
	"theme", "ascii", "mouse", "reduced_motion", "delete_after", "keys",
}

// config is a configuration as it is in force.
type config struct {
	prefs          tui.Preferences
	network, cover string // of the file; empty: not given
}

// configFile is where the configuration of the profile lies.
func (f *flags) configFile() string {
	switch {
	case f.home != "":
		return filepath.Join(f.home, configName)
	case f.profile != "":
		return filepath.Join(xdg.ConfigHome, "hearsay", profilesDir, f.profile+".toml")
	}
	return filepath.Join(xdg.ConfigHome, "hearsay", configName)
}

// load reads the configuration: flags stand above HEARSAY_*, the file and the
// defaults.
func (f *flags) load() (config, error) {
	file := f.configFile()
	c := config{prefs: tui.DefaultPreferences()}
	b, err := readConfig(file)
	if err == nil {
		err = c.parse(b)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return c, configError(file, err)
	}
	if err := c.environment(os.LookupEnv); err != nil {
		return c, program.Fail(program.ExitUsage, "see hearsay --help", err)
	}
	c.prefs.ASCII = c.prefs.ASCII || f.ascii
	// Any non-empty value: the library reads it as a boolean.
	c.prefs.NoColor = f.noColor || os.Getenv("NO_COLOR") != ""
	return c, nil
}

// configure puts the configuration in force. The file's network and cover profile
// are for a home that is made: one that exists remembers its own.
func (f *flags) configure() error {
	c, err := f.load()
	if err != nil {
		return err
	}
	state, err := chat.Inspect(f.dir())
	isNew := err == nil && !state.Exists // what else is wrong is told by who opens it
	take := func(flag *string, variable, inFile string) {
		switch v := os.Getenv(variable); {
		case *flag != "":
		case v != "":
			*flag = v
		case isNew:
			*flag = inFile
		}
	}
	take(&f.network, "HEARSAY_NETWORK", c.network)
	take(&f.cover, "HEARSAY_COVER", c.cover)
	f.prefs = c.prefs
	return nil
}

// deleteAfter is after how long messages of new conversations disappear, as the
// configuration says now.
func (f *flags) deleteAfter() time.Duration {
	c, err := f.load()
	if err != nil {
		return f.prefs.DeleteAfter // it was good when the program started
	}
	return c.prefs.DeleteAfter
}

// readConfig reads a configuration of a sensible size.
func readConfig(file string) ([]byte, error) {
	info, err := os.Stat(file)
	switch {
	case errors.Is(err, syscall.ENOTDIR): // the home is no directory, which its opening says
		return nil, fs.ErrNotExist
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular() || info.Size() > maxConfig:
		return nil, errors.New("it is no file of at most 1 MiB")
	}
	return os.ReadFile(file)
}

// keyError is a mistake at one line of a configuration.
type keyError struct {
	line       int // from 1; 0: unknown
	text, hint string
}

func (e *keyError) Error() string { return e.text }

// configError says where a configuration is wrong.
func configError(file string, err error) error {
	where, hint := chat.Sanitize(file), "correct the file, or move it away"
	var k *keyError
	var p toml.ParseError
	switch {
	case errors.As(err, &p):
		where += fmt.Sprintf(", line %d", p.Position.Line)
		err = errors.New(chat.Sanitize(p.Message))
		if p.Message == "" {
			err = errors.New(chat.Sanitize(p.Error()))
		}
	case errors.As(err, &k):
		if k.line > 0 {
			where += fmt.Sprintf(", line %d", k.line)
		}
		if k.hint != "" {
			hint = k.hint
		}
	}
	return program.Fail(program.ExitUsage, hint, fmt.Errorf("%s: %w", where, err))
}

// parse applies a configuration file.
func (c *config) parse(b []byte) error {
	file := fileConfig{Version: configVersion}
	meta, err := toml.Decode(string(b), &file)
	if err != nil {
		return err
	}
	for _, key := range meta.Undecoded() {
		if key[0] == "keys" {
			continue
		}
		return unknownKey(b, "", key[0], "there is no key %q", configKeys)
	}
	if file.Version != configVersion {
		return &keyError{keyLine(b, "", "version"), fmt.Sprintf("it has version %d, and this program knows version %d", file.Version, configVersion), "use a newer program"}
	}
	at := func(key string, err error) error {
		if err == nil {
			return nil
		}
		return &keyError{line: keyLine(b, "", key), text: err.Error()}
	}
	c.network, c.cover = file.Network, file.Cover
	if c.cover != "" && !slices.Contains(chat.Covers(), c.cover) {
		return at("cover", fmt.Errorf("cover is one of %s, not %q", strings.Join(chat.Covers(), ", "), c.cover))
	}
	values := map[string]string{
		"lock_after": file.LockAfter, "notify": file.Notify, "path_in_bar": file.PathInBar, "theme": file.Theme, "delete_after": file.DeleteAfter,
		"notify_content": strconv.FormatBool(file.NotifyContent), "ascii": strconv.FormatBool(file.ASCII),
		"mouse": strconv.FormatBool(file.Mouse), "reduced_motion": strconv.FormatBool(file.ReducedMotion),
	}
	for _, key := range configKeys {
		if value, ok := values[key]; ok && meta.IsDefined(key) {
			if err := setPreference(&c.prefs, key, value); err != nil {
				return at(key, err)
			}
		}
	}
	return c.bind(b, file.Keys)
}

// bind applies the table of keys.
func (c *config) bind(b []byte, table map[string]any) error {
	actions := tui.Actions()
	bound := map[string][]string{}
	for _, name := range slices.Sorted(maps.Keys(table)) {
		if !slices.Contains(actions, name) {
			return unknownKey(b, "keys", name, "no action is called %q", actions)
		}
		keys, ok := keyList(table[name])
		if !ok {
			return &keyError{line: keyLine(b, "keys", name), text: name + ` is a key, or a list of keys such as ["ctrl+k", "f2"]`}
		}
		bound[name] = keys
	}
	if err := tui.CheckKeys(bound); err != nil {
		e := &keyError{line: keyLine(b, "", "keys"), text: err.Error()}
		for _, name := range slices.Sorted(maps.Keys(bound)) { // whose line is it?
			rest := maps.Clone(bound)
			delete(rest, name)
			if tui.CheckKeys(rest) == nil {
				e.line = keyLine(b, "keys", name)
				break
			}
		}
		return e
	}
	c.prefs.Keys = bound
	return nil
}

// keyList reads a key or a list of keys.
func keyList(value any) (keys []string, ok bool) {
	switch v := value.(type) {
	case string:
		return []string{v}, true
	case []any:
		for _, k := range v {
			s, ok := k.(string)
			if !ok {
				return nil, false
			}
			keys = append(keys, s)
		}
		return keys, true
	}
	return nil, false
}

// environment applies the variables of the process, but those of the network and
// the cover profile.
func (c *config) environment(lookup func(string) (string, bool)) error {
	for _, key := range configKeys {
		name := "HEARSAY_" + strings.ToUpper(key)
		value, ok := lookup(name)
		if !ok || value == "" || key == "version" || key == "network" || key == "cover" || key == "keys" {
			continue
		}
		if err := setPreference(&c.prefs, key, value); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

// setPreference sets one preference from its text.
func setPreference(p *tui.Preferences, key, value string) error {
	flag := func(to *bool) error {
		v, err := strconv.ParseBool(value)
		if err != nil {
			return fmt.Errorf("%s is true or false, not %q", key, chat.Sanitize(value))
		}
		*to = v
		return nil
	}
	next := *p
	var err error
	switch key {
	case "lock_after":
		next.LockAfter, err = parseTime(key, value)
	case "delete_after":
		next.DeleteAfter, err = parseTime(key, value)
	case "notify":
		next.Notify = value
	case "path_in_bar":
		next.PathInBar = value
	case "theme":
		next.Theme = value
	case "notify_content":
		err = flag(&next.NotifyContent)
	case "ascii":
		err = flag(&next.ASCII)
	case "mouse":
		err = flag(&next.Mouse)
	case "reduced_motion":
		err = flag(&next.ReducedMotion)
	}
	if err == nil {
		keys := next.Keys
		next.Keys = nil
		err = next.Check()
		next.Keys = keys
	}
	if err != nil {
		return err
	}
	*p = next
	return nil
}

// parseTime reads a time such as 15m, 1h, 7d, or never.
func parseTime(key, value string) (time.Duration, error) {
	if value == "never" || value == "keep" || value == "off" || value == "0" {
		return 0, nil
	}
	if days, ok := strings.CutSuffix(value, "d"); ok {
		if n, err := strconv.Atoi(days); err == nil && n >= 0 && n <= 1000 {
			return time.Duration(n) * 24 * time.Hour, nil
		}
	}
	d, err := time.ParseDuration(value)
	if err != nil {
		return 0, fmt.Errorf("%s is a time such as 15m, 1h or 7d, or never, not %q", key, chat.Sanitize(value))
	}
	return d, nil
}

// formatTime writes a time as parseTime reads it.
func formatTime(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d == 0:
		return "never"
	case d%day == 0:
		return fmt.Sprintf("%dd", d/day)
	case d%time.Hour == 0:
		return fmt.Sprintf("%dh", d/time.Hour)
	case d%time.Minute == 0:
		return fmt.Sprintf("%dm", d/time.Minute)
	}
	return d.String()
}

// unknownKey names a key that does not exist, its line, and the nearest one.
func unknownKey(b []byte, table, key, format string, known []string) error {
	e := &keyError{line: keyLine(b, table, key), text: fmt.Sprintf(format, chat.Sanitize(key))}
	best, least := "", 1<<30
	for _, k := range known {
		if d := program.EditDistance(key, k); d < least {
			best, least = k, d
		}
	}
	if least <= max(2, len(key)/2) {
		e.hint = fmt.Sprintf("did you mean %q?", best)
	}
	return e
}

// tableLine and assignment find the lines that hold keys.
var (
	tableLine  = regexp.MustCompile(`^\s*\[+\s*"?([^\]"]*?)"?\s*\]+`)
	assignment = regexp.MustCompile(`^(\s*"?)([A-Za-z0-9_.+-]+)("?\s*=\s*)(.*)$`)
)

// keyLine returns the line of a key in a table, from 1; 0 if it is not found. A
// table itself counts as a key of the top.
func keyLine(b []byte, table, key string) int {
	in := ""
	for i, line := range strings.Split(string(b), "\n") {
		if m := tableLine.FindStringSubmatch(line); m != nil {
			in = m[1]
			if table == "" && (in == key || strings.HasPrefix(in, key+".")) {
				return i + 1
			}
			continue
		}
		m := assignment.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		if name := strings.Trim(m[2], `"`); in == table && (name == key || strings.HasPrefix(name, key+".") && table == "") || in == "" && table != "" && name == table+"."+key {
			return i + 1
		}
	}
	return 0
}
