package main

import (
	"cmp"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"

	"github.com/adrg/xdg"

	"hearsay/cmd/program"
)

// configName is the name of the configuration in its directory.
const configName = "directory.toml"

// config is directory.toml. What is left out has the default of the flag of that
// name. It holds no secret.
type config struct {
	Version   int      `toml:"version"`
	Home      string   `toml:"home"`
	Recommend []string `toml:"recommend"`
	Metrics   string   `toml:"metrics"`
	LogLevel  string   `toml:"log_level"`
	LogFormat string   `toml:"log_format"`
}

// exampleConfig is a whole configuration, for the help.
const exampleConfig = `  version = 1
  home = "/var/lib/hearsay-directory"
  recommend = ["hearsay 0.4.1"]
  metrics = "127.0.0.1:9465"           # or unix:/run/hearsay-directory/metrics.sock
  log_level = "info"
  log_format = "text"`

// runFlags are the flags of run.
type runFlags struct {
	file, home          string
	recommend           []string
	metrics             string
	logLevel, logFormat string
	json                bool
}

// configFile returns the configuration to read, or "" if there is none: --config,
// then directory.toml in the home that is given, in systemd's directory of
// configuration, and, where no home is given, in that of the account and in the home
// by default.
func (f *runFlags) configFile(homeGiven bool) (string, error) {
	given := cmp.Or(f.file, os.Getenv("HEARSAY_CONFIG"))
	home := os.Getenv("HEARSAY_HOME")
	if homeGiven {
		home = f.home
	}
	var places []string
	if home != "" {
		places = append(places, filepath.Join(home, configName))
	}
	if dir := os.Getenv("CONFIGURATION_DIRECTORY"); dir != "" {
		places = append(places, filepath.Join(dir, configName))
	}
	if home == "" {
		places = append(places, filepath.Join(xdg.ConfigHome, "hearsay", configName), filepath.Join(cmp.Or(os.Getenv("STATE_DIRECTORY"), f.home), configName))
	}
	return program.ConfigFile(given, places...)
}

// resolve returns what is in force: each flag that was given, else the variable
// HEARSAY_NAME if it is not empty, else the configuration, else the default. changed
// tells which flags were given. The file in what it returns is the one that was read.
func (f runFlags) resolve(changed func(flag string) bool) (runFlags, error) {
	file, err := f.configFile(changed("home"))
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
		flag, env string
		at        *string
		file      string
	}{
		{"home", "HEARSAY_HOME", &f.home, cmp.Or(c.Home, os.Getenv("STATE_DIRECTORY"))},
		{"metrics", "HEARSAY_METRICS", &f.metrics, c.Metrics},
		{"log-level", "HEARSAY_LOG_LEVEL", &f.logLevel, c.LogLevel},
		{"log-format", "HEARSAY_LOG_FORMAT", &f.logFormat, c.LogFormat},
	} {
		if !changed(v.flag) {
			*v.at = cmp.Or(os.Getenv(v.env), v.file, *v.at)
		}
	}
	if !changed("recommend") {
		f.recommend = c.Recommend
	}
	return f, nil
}

// reload reads the configuration again at SIGHUP: the log level changes, all else
// waits for a restart, and is named.
func (f runFlags) reload(changed func(flag string) bool, logs *program.LogFlags, inUse runFlags, log *slog.Logger) {
	f.file = inUse.file // what was read at the start, and no other in its place
	next, err := f.resolve(changed)
	if err == nil {
		err = logs.SetLevel(next.logLevel)
	}
	if err != nil {
		log.Error("the configuration is not taken: nothing was changed", "error", err)
		return
	}
	if next.home != inUse.home || next.logFormat != inUse.logFormat || next.metrics != inUse.metrics || !slices.Equal(next.recommend, inUse.recommend) {
		log.Warn("changes of home, recommend, metrics and log_format need a restart, and wait for it")
	}
	log.Info("configuration read again")
}
