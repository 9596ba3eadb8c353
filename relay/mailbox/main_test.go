package mailbox

import (
	"flag"
	"testing"

	"go.uber.org/goleak"
)

var update = flag.Bool("update", false, "rewrite the golden vectors")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
