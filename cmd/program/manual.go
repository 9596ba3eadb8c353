package program

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// manualSections are the sections of the manual: 1 is for everybody, 8 for operators.
var manualSections = []struct{ program, section string }{{"hearsay", "1"}, {"hearsay-directory", "8"}, {"hearsay-relay", "8"}}

// exitStatus is what all programs end with.
var exitStatus = []struct {
	code int
	text string
}{
	{ExitOK, "done, also after SIGTERM"},
	{ExitFailure, "failed"},
	{ExitUsage, "usage or configuration is wrong"},
	{ExitPassphrase, "the passphrase is missing or wrong"},
	{ExitNoNetwork, "the network is not available"},
	{ExitTimeout, "out of time; what became of it is not known"},
	{ExitNotFound, "not found"},
	{ExitRefused, "refused for safety"},
	{ExitHomeInUse, "another process uses the home"},
	{ExitInterrupted, "interrupted before it served"},
}

// WriteManual writes the page of a program, with all its commands, into a directory.
// The same commands make the same bytes. It returns the name of the file.
func WriteManual(root *cobra.Command, dir string) (string, error) {
	m := &manual{}
	for _, s := range manualSections {
		if s.program == root.Name() {
			m.section = s.section
		}
	}
	if m.section == "" {
		return "", fmt.Errorf("%s has no section of the manual", root.Name())
	}
	m.page(root)
	file := filepath.Join(dir, root.Name()+"."+m.section)
	return file, os.WriteFile(file, []byte(m.text.String()), 0o644)
}

// manual writes a page in the man macros of roff.
type manual struct {
	section string
	text    strings.Builder
}

func (m *manual) line(format string, args ...any) { fmt.Fprintf(&m.text, format+"\n", args...) }

func (m *manual) page(root *cobra.Command) {
	name := root.Name()
	m.line(".TH %s %s \"\" \"hearsay\" \"hearsay manual\"", roff(strings.ToUpper(name)), m.section)
	m.line(".nh\n.ad l") // ids and links are not hyphenated
	m.line(".SH NAME\n%s \\- %s", roff(name), roff(lowerFirst(root.Short)))
	m.line(".SH SYNOPSIS\n\\fB%s\\fR [\\fIcommand\\fR] [\\fIoptions\\fR]", roff(name))
	m.line(".SH DESCRIPTION")
	m.prose(root.Long)
	m.line(".SH OPTIONS\nOf all commands:")
	m.options(root.PersistentFlags())
	if root.LocalNonPersistentFlags().HasAvailableFlags() {
		m.line(".PP\nWithout a command:")
		m.options(root.LocalNonPersistentFlags())
	}
	m.line(".SH COMMANDS")
	m.commands(root)
	m.line(".SH EXIT STATUS")
	for _, s := range exitStatus {
		m.line(".TP\n\\fB%d\\fR\n%s", s.code, roff(s.text))
	}
	m.line(".SH SEE ALSO")
	var also []string
	for _, s := range manualSections {
		if s.program != name {
			also = append(also, fmt.Sprintf("\\fB%s\\fR(%s)", roff(s.program), s.section))
		}
	}
	m.line("%s", strings.Join(also, ",\n"))
}

// commands writes the commands under one, each with what is under it.
func (m *manual) commands(under *cobra.Command) {
	for _, c := range under.Commands() {
		if !c.IsAvailableCommand() || c.Name() == "help" || c.Name() == manualCommand {
			continue
		}
		_, args, _ := strings.Cut(c.Use, " ")
		m.line(".SS %s", roff(strings.TrimSpace(c.CommandPath()+" "+args)))
		if c.Name() == "completion" { // made by the library, with a long text for each shell
			m.line("%s", roff(c.Short+": bash, zsh, fish or powershell; see its --help."))
			continue
		}
		if text := c.Long; text != "" {
			m.prose(text)
		} else {
			m.prose(c.Short + ".")
		}
		m.options(c.LocalNonPersistentFlags())
		if c.Example != "" {
			m.line(".PP\nFor example:")
			m.verbatim(strings.Split(c.Example, "\n"))
		}
		m.commands(c)
	}
}

// options writes flags, in the order of their names.
func (m *manual) options(flags *pflag.FlagSet) {
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Hidden || f.Name == "help" {
			return
		}
		value, usage := map[string]string{"bool": "", "int": " \\fIN\\fR", "duration": " \\fITIME\\fR"}[f.Value.Type()], f.Usage
		if value == "" && f.Value.Type() != "bool" {
			value = " \\fIVALUE\\fR"
		}
		if d := f.DefValue; d != "" && d != "false" && d != "[]" && d != "0" && d != "0s" {
			usage += " (default " + d + ")"
		}
		m.line(".TP\n\\fB%s\\fR%s\n%s", roff("--"+f.Name), value, roff(usage))
	})
}

// prose writes a text of the help: lines that are indented stay as they are.
func (m *manual) prose(text string) {
	for i, paragraph := range strings.Split(strings.Trim(text, "\n"), "\n\n") {
		if i > 0 {
			m.line(".PP")
		}
		lines := strings.Split(paragraph, "\n")
		for len(lines) > 0 {
			n := slices.IndexFunc(lines, indented)
			if n < 0 {
				n = len(lines)
			}
			for _, l := range lines[:n] {
				m.line("%s", roff(l))
			}
			lines = lines[n:]
			if n = slices.IndexFunc(lines, func(l string) bool { return !indented(l) }); n < 0 {
				n = len(lines)
			}
			if n > 0 {
				m.verbatim(lines[:n])
			}
			lines = lines[n:]
		}
	}
}

func indented(l string) bool { return strings.HasPrefix(l, " ") || strings.HasPrefix(l, "\t") }

func (m *manual) verbatim(lines []string) {
	m.line(".PP\n.nf")
	for _, l := range lines {
		m.line("%s", roff(l))
	}
	m.line(".fi")
}

// quoted are commands and names in a text of the help.
var quoted = regexp.MustCompile("`([^`]+)`")

// roff writes a line so that no character of it is a request or an escape.
func roff(line string) string {
	line = strings.NewReplacer(`\`, `\e`, "-", `\-`, "'", `\(aq`, "^", `\(ha`, "~", `\(ti`).Replace(line)
	if strings.HasPrefix(line, ".") {
		line = `\&` + line
	}
	return quoted.ReplaceAllString(line, `\fB$1\fR`)
}

func lowerFirst(s string) string {
	if s == "" {
		return s
	}
	return strings.ToLower(s[:1]) + s[1:]
}
