package abuse

import (
	"fmt"
	"os"
	"sync"
	"testing"
	"text/tabwriter"
	"time"

	"go.uber.org/goleak"
)

// envRole makes the test program one of the other processes.
const envRole = "HEARSAY_ABUSE_ROLE"

// full says that attacks have their full size.
var full = os.Getenv("HEARSAY_ABUSE") == "full"

// patience is how long whoever keeps to the rules waits for what takes milliseconds
// on an idle machine: it ends what hangs.
const patience = time.Minute

// persist does something that may fail on a busy machine until it succeeds or
// patience ends; in a full run once.
func persist(do func() error) (err error) {
	for began := time.Now(); ; <-time.After(100 * time.Millisecond) {
		if err = do(); err == nil || full || time.Since(began) > patience {
			return err
		}
	}
}

// size returns the size of something in a short or in a full run.
func size(short, whole int) int {
	if full {
		return whole
	}
	return short
}

func TestMain(m *testing.M) {
	switch role := os.Getenv(envRole); role {
	case "":
		code := m.Run()
		results.print()
		if err := goleak.Find(); code == 0 && err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
		os.Exit(code)
	case "victim":
		serve(newVictim())
	case "attacker":
		serve(newAttacker())
	case "honest":
		serve(newHonest())
	default:
		fmt.Fprintf(os.Stderr, "no role %q\n", role)
		os.Exit(2)
	}
}

// table is what a full run prints.
type table struct {
	mu   sync.Mutex
	rows [][4]string
}

var results table

// check notes a figure beside its target. A figure that misses its target
// fails the test; timed ones only in a full run, since a busy machine says
// nothing about a relay.
func (r *table) check(t *testing.T, what string, ok bool, figure, target string) {
	t.Helper()
	verdict := "ok"
	if !ok {
		verdict = "MISSED"
		t.Errorf("%s: %s, target %s", what, figure, target)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.rows = append(r.rows, [4]string{what, figure, target, verdict})
}

func (r *table) print() {
	if !full || len(r.rows) == 0 {
		return
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "attack\tfigure\ttarget\t")
	for _, row := range r.rows {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", row[0], row[1], row[2], row[3])
	}
	w.Flush()
}
