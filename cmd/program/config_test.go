package program

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

type testConfig struct {
	Version   int      `toml:"version"`
	Listen    string   `toml:"listen"`
	Bandwidth string   `toml:"bandwidth"`
	Family    []string `toml:"family"`
}

// TestConfigErrorsNameLineAndKey: whoever mistypes learns where, and what was
// meant.
func TestConfigErrorsNameLineAndKey(t *testing.T) {
	for text, want := range map[string][]string{
		"version = 1\nlisten = \"a\"\nbandwith = \"1MiB\"\n": {"c.toml, line 3", `"bandwith"`, "did you mean bandwidth?"},
		"version = 1\nlisten = a\n":                          {"c.toml, line 2"},
		"version = 1\nlisten = 7\n":                          {"c.toml", "listen"},
		"version = 1\n[keys]\nx = \"y\"\n":                   {"c.toml, line", "keys"},
		"listen = \"a\"\n":                                   {"version = 1"},
		"version = 2\n":                                      {"version = 1"},
		"version = 1\nlisten = \"a\"\nlisten = \"b\"\n":      {"c.toml, line 3"},
	} {
		err := ParseConfig("c.toml", text, &testConfig{})
		var e *Error
		if !errors.As(err, &e) || e.Code != ExitUsage {
			t.Errorf("%q: error %v", text, err)
			continue
		}
		for _, w := range want {
			if said := e.Error() + " " + e.Hint; !strings.Contains(said, w) {
				t.Errorf("%q: %q does not say %q", text, said, w)
			}
		}
	}
}

func TestConfigIsRead(t *testing.T) {
	file := filepath.Join(t.TempDir(), "relay.toml")
	if err := os.WriteFile(file, []byte("# mine\nversion = 1\nlisten = \"192.0.2.7:4443\"\nfamily = [\"x\", \"y\"]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var c testConfig
	if err := ReadConfig(file, &c); err != nil || c.Listen != "192.0.2.7:4443" || len(c.Family) != 2 {
		t.Errorf("%+v, error %v", c, err)
	}
	if err := ReadConfig(file+"x", &c); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("error %v", err)
	}
	if got, err := ConfigFile("", "", file+"x", file); got != file || err != nil {
		t.Errorf("found %q, error %v", got, err)
	}
	if got, err := ConfigFile("given", file); got != "given" || err != nil {
		t.Errorf("found %q, error %v", got, err)
	}
}

// TestConfigOfAnotherAccount: a configuration that may not be read is a wrong one, which
// units do not try again, and says who has to read it.
func TestConfigOfAnotherAccount(t *testing.T) {
	err := unreadable("relay.toml", &os.PathError{Op: "open", Path: "relay.toml", Err: os.ErrPermission})
	var told *Error
	if !errors.As(err, &told) || told.Code != ExitUsage || !strings.Contains(told.Hint, "account") {
		t.Errorf("%+v", err)
	}
}

func FuzzConfig(f *testing.F) {
	f.Add("version = 1\nlisten = \"a\"\n")
	f.Add("[a.b]\nc = 1")
	f.Fuzz(func(t *testing.T, text string) {
		var c testConfig
		if err := ParseConfig("c.toml", text, &c); err == nil && c.Version != 1 {
			t.Errorf("version %d is taken", c.Version)
		}
	})
}
