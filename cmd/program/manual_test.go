package program

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// manualTree is a program with what texts of a help may hold.
func manualTree() *cobra.Command {
	logs := &LogFlags{}
	root := &cobra.Command{Use: "hearsay-relay", Short: "Run a relay", Long: "One.\n\nTwo:\n\n  a  'quoted' \\n\n.TH not a request\n'br neither", RunE: func(*cobra.Command, []string) error { return nil }}
	logs.Add(root)
	run := &cobra.Command{Use: "run [--listen ADDR]", Short: "Run it", Long: "Runs `check` first.\n.so /etc/passwd", Example: "  hearsay-relay run --listen ~/x", Run: func(*cobra.Command, []string) {}, Args: cobra.NoArgs}
	run.Flags().String("listen", "", "UDP address")
	run.Flags().Int("days", 30, "days")
	run.Flags().Bool("json", false, "print JSON")
	hidden := &cobra.Command{Use: "secret", Hidden: true, Run: func(*cobra.Command, []string) {}}
	root.AddCommand(run, hidden)
	return root
}

// TestManual writes a page: all commands and flags are in it, and no text of theirs
// becomes a request or an escape of roff.
func TestManual(t *testing.T) {
	dir := t.TempDir()
	file, err := WriteManual(manualTree(), dir)
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	page := string(b)
	if filepath.Base(file) != "hearsay-relay.8" || !strings.HasPrefix(page, `.TH HEARSAY\-RELAY 8 `) {
		t.Errorf("%s begins with %.40q", file, page)
	}
	for _, want := range []string{
		`hearsay\-relay \- run a relay`, ".SS hearsay\\-relay run [\\-\\-listen ADDR]", "\\fB\\-\\-listen\\fR \\fIVALUE\\fR\nUDP address",
		"\\fB\\-\\-days\\fR \\fIN\\fR\ndays (default 30)", "\\fB\\-\\-json\\fR\nprint JSON", `\fB\-\-log\-level\fR`, "Runs \\fBcheck\\fR first.",
		".nf\n  a  \\(aqquoted\\(aq \\en\n.fi", `\&.TH not`, `\(aqbr neither`, `\&.so /etc`, `\(ti/x`, "\\fB8\\fR\nanother process", `\fBhearsay\fR(1)`,
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page has no %q:\n%s", want, page)
		}
	}
	if strings.Contains(page, "secret") {
		t.Error("a hidden command is in the page")
	}
	request := regexp.MustCompile(`^\.(TH|SH|SS|PP|TP|nf|fi|nh|ad)( |$)`)
	for line := range strings.Lines(page) {
		if line = strings.TrimSuffix(line, "\n"); strings.HasPrefix(line, "'") || strings.HasPrefix(line, ".") && !request.MatchString(line) {
			t.Errorf("a line is a request: %q", line)
		}
	}
	again, err := WriteManual(manualTree(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if c, err := os.ReadFile(again); err != nil || string(c) != page {
		t.Errorf("the second page is another one, %v", err)
	}
	if _, err := WriteManual(&cobra.Command{Use: "other"}, dir); err == nil {
		t.Error("a page of a program that is none of ours")
	}
}
