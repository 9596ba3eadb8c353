// Package programtest has what the tests of the programs share.
package programtest

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/spf13/cobra"
)

// Unknown looks through a text for command lines of a program, such as in a unit
// or a README, and returns what is wrong with each: a command or flag that the
// program does not have. Lines that end in a backslash go on in the next one.
// count is how many command lines there were.
func Unknown(root *cobra.Command, text string) (problems []string, count int) {
	text = strings.ReplaceAll(text, "\\\n", " ")
	name := regexp.MustCompile(`(^|[\s/\x60"'(])` + regexp.QuoteMeta(root.Name()) + `(\s|$)`)
	for line := range strings.Lines(text) {
		line = regexp.MustCompile(`["'\[\],]`).ReplaceAllString(line, " ")
		at := name.FindStringIndex(line)
		if at == nil || strings.HasPrefix(strings.TrimSpace(line), "#") {
			continue
		}
		words := strings.Fields(line[at[1]:])
		if len(words) == 0 || !regexp.MustCompile(`^(--)?[a-z][a-z-]*$`).MatchString(words[0]) {
			continue // prose
		}
		count++
		if problem := check(root, words); problem != "" {
			problems = append(problems, fmt.Sprintf("%s: %s", strings.TrimSpace(line), problem))
		}
	}
	return problems, count
}

func check(root *cobra.Command, words []string) string {
	cmd := root
	for _, w := range words {
		switch {
		case strings.ContainsAny(w[:1], "|>&;#"):
			return ""
		case strings.HasPrefix(w, "--"):
			flag, _, _ := strings.Cut(strings.TrimRight(w[2:], "`.:;)"), "=")
			if cmd.Flags().Lookup(flag) == nil && cmd.InheritedFlags().Lookup(flag) == nil && flag != "help" {
				return fmt.Sprintf("%s has no flag --%s", cmd.CommandPath(), flag)
			}
		case cmd.HasSubCommands():
			next, _, err := cmd.Find([]string{w})
			if err != nil || next == cmd {
				if cmd == root {
					return fmt.Sprintf("%s has no command %q", cmd.CommandPath(), w)
				}
				return ""
			}
			cmd = next
		}
	}
	return ""
}
