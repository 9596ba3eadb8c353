package main

import (
	"cmp"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/adrg/xdg"

	"hearsay/cmd/program"
)

// configName is the name of the configuration in its directory.
const configName = "relay.toml"

// config is relay.toml. What is left out has the default of the flag of that
// name. It holds no secret: tokens and keys are files of their own.
type config struct {
	Version      int      `toml:"version"`
	Home         string   `toml:"home"`
	Network      string   `toml:"network"`
	Listen       string   `toml:"listen"`
	Advertise    string   `toml:"advertise"`
	Nickname     string   `toml:"nickname"`
	Contact      string   `toml:"contact"`
	Family       []string `toml:"family"`
	Bandwidth    string   `toml:"bandwidth"`
	MailboxSpace string   `toml:"mailbox_space"`
	Memory       string   `toml:"memory"`
	Metrics      string   `toml:"metrics"`
	Leaving      *bool    `toml:"leaving"`
	LogLevel     string   `toml:"log_level"`
	LogFormat    string   `toml:"log_format"`
}

// exampleConfig is a whole configuration, for the help.
const exampleConfig = `  version = 1
  listen = "192.0.2.7:4443"
  advertise = "192.0.2.7:4443"         # if others dial another address
  network = "HEARSAY-NET:..."          # needed once; the home remembers it
  nickname = "harbour1"                # public
  contact = "ops at example dot org"   # public
  family = ["HEARSAY-FAMILY:..."]      # certificates, or files that hold them
  bandwidth = "10MiB"                  # a second, each way
  mailbox_space = "20GiB"
  memory = "1GiB"
  metrics = "127.0.0.1:9464"           # or unix:/run/hearsay-relay/metrics.sock
  leaving = false
  log_level = "info"
  log_format = "text"`

// configFile returns the configuration to read, or "" if there is none: --config,
// then relay.toml in the home that is given, in systemd's directory of configuration,
// and, where no home is given, in that of the account and in the home by default.
func (f *runFlags) configFile() (string, error) {
	given := f.file
	if given == "" {
		given = os.Getenv("HEARSAY_CONFIG")
	}
	home := cmp.Or(f.home, os.Getenv("HEARSAY_HOME"))
	var places []string
	if home != "" {
		places = append(places, filepath.Join(home, configName))
	}
	if dir := os.Getenv("CONFIGURATION_DIRECTORY"); dir != "" {
		places = append(places, filepath.Join(dir, configName))
	}
	if home == "" {
		places = append(places, filepath.Join(xdg.ConfigHome, "hearsay", configName), filepath.Join(defaultHome(), configName))
	}
	return program.ConfigFile(given, places...)
}

// defaultHome is systemd's directory of state, or that of the account.
func defaultHome() string {
	return cmp.Or(os.Getenv("STATE_DIRECTORY"), filepath.Join(xdg.DataHome, "hearsay-relay"))
}

// resolve returns what is in force: each flag that was given, else the variable
// HEARSAY_NAME if it is not empty, else the configuration, else the default. changed
// tells which flags were given. The file in what it returns is the one that was read.
func (f runFlags) resolve(changed func(flag string) bool) (runFlags, error) {
	file, err := f.configFile()
	if err != nil {
		return f, err
	}
	f.file = file
	var c config
	if file != "" {
		switch err := program.ReadConfig(file, &c); {
		case errors.Is(err, fs.ErrNotExist):
			return f, program.Fail(program.ExitUsage, "give --config a file that is there", err)
		case err != nil:
			return f, err
		}
	}
	for _, v := range []struct {
		flag string
		at   *string
		file string
	}{
		{"home", &f.home, c.Home},
		{"network", &f.network, c.Network},
		{"listen", &f.listen, c.Listen},
		{"advertise", &f.advertise, c.Advertise},
		{"nickname", &f.nickname, c.Nickname},
		{"contact", &f.contact, c.Contact},
		{"bandwidth", &f.bandwidth, c.Bandwidth},
		{"mailbox-space", &f.space, c.MailboxSpace},
		{"memory", &f.memory, c.Memory},
		{"metrics", &f.metrics, c.Metrics},
		{"log-level", &f.logLevel, c.LogLevel},
		{"log-format", &f.logFormat, c.LogFormat},
	} {
		if !changed(v.flag) {
			*v.at = cmp.Or(variable(v.flag), v.file, *v.at)
		}
	}
	if !changed("leaving") {
		if f.leaving, err = leaving(c.Leaving); err != nil {
			return f, err
		}
	}
	if !changed("family") {
		if f.families = strings.Fields(variable("family")); len(f.families) == 0 {
			f.families = c.Family
		}
	}
	f.home = cmp.Or(f.home, defaultHome())
	if f.listen == "" {
		return f, program.Usage("give --listen the IP address and port to bind, or write listen into "+configName, "which address?")
	}
	return f, nil
}

// variable is what the environment says of a flag.
func variable(flag string) string {
	return os.Getenv("HEARSAY_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_")))
}

// leaving is what the environment says, else the configuration.
func leaving(file *bool) (bool, error) {
	text := variable("leaving")
	if text == "" {
		return file != nil && *file, nil
	}
	b, err := strconv.ParseBool(text)
	if err != nil {
		return false, program.Usage("set it to true or false", "HEARSAY_LEAVING: %q is neither", text)
	}
	return b, nil
}

// static lists what needs a restart, by the names of the configuration, where two
// resolved flags differ.
func (f *runFlags) static(next *runFlags) (names []string) {
	for _, v := range []struct{ name, now, next string }{
		{"home", f.home, next.home},
		{"network", f.network, next.network},
		{"listen", f.listen, next.listen},
		{"advertise", f.advertise, next.advertise},
		{"memory", f.memory, next.memory},
		{"metrics", f.metrics, next.metrics},
		{"log_format", f.logFormat, next.logFormat},
	} {
		if v.now != v.next {
			names = append(names, v.name)
		}
	}
	if f.leaving != next.leaving {
		names = append(names, "leaving")
	}
	return names
}
