package programtest

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"hearsay/cmd/program"
)

// UnitManual fails if the text of a unit does not name the page of the program's
// manual, in its section. The page is written into dir.
func UnitManual(root *cobra.Command, unit, dir string) error {
	page, err := program.WriteManual(root, dir)
	if err != nil {
		return err
	}
	want := "\nDocumentation=man:" + root.Name() + "(" + strings.TrimPrefix(filepath.Ext(page), ".") + ")\n"
	if !strings.Contains(unit, want) {
		return fmt.Errorf("the unit has no line %q", want)
	}
	return nil
}
