package program

import (
	"fmt"
	"io"
	"log/slog"

	"github.com/spf13/cobra"
)

// LogFlags are the logging flags of all programs.
type LogFlags struct {
	Level  string
	Format string

	level slog.LevelVar // of the loggers that were made
}

// Add puts the flags on a command and its children.
func (f *LogFlags) Add(cmd *cobra.Command) {
	cmd.PersistentFlags().StringVar(&f.Level, "log-level", "info", "debug, info, warn or error")
	cmd.PersistentFlags().StringVar(&f.Format, "log-format", "text", "text or json")
}

// Logger makes the logger that the flags ask for. Logs go to stderr or a file,
// never to stdout.
func (f *LogFlags) Logger(w io.Writer) (*slog.Logger, error) {
	if err := f.SetLevel(f.Level); err != nil {
		return nil, err
	}
	opts := &slog.HandlerOptions{Level: &f.level}
	switch f.Format {
	case "text":
		return slog.New(slog.NewTextHandler(w, opts)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(w, opts)), nil
	}
	return nil, Usage("use text or json", "unknown log format %q", f.Format)
}

// SetLevel changes the level of the loggers that were made and will be. It is safe
// for concurrent use with them, not with itself.
func (f *LogFlags) SetLevel(text string) error {
	level, err := ParseLevel(text)
	if err == nil {
		f.Level = text
		f.level.Set(level)
	}
	return err
}

// ParseLevel parses the name of a log level.
func ParseLevel(text string) (level slog.Level, err error) {
	if level.UnmarshalText([]byte(text)) != nil {
		return level, Usage("use debug, info, warn or error", "unknown log level %q", text)
	}
	return level, nil
}

// Warn prints a warning as all programs do.
func Warn(w io.Writer, name, format string, args ...any) {
	fmt.Fprintf(w, "%s: warning: %s\n", name, fmt.Sprintf(format, args...))
}
