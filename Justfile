# list the recipes
default:
    @just --list

# build the three programs into bin/
build:
    CGO_ENABLED=0 go build -trimpath -ldflags "-s -w" -o bin/ ./cmd/hearsay ./cmd/hearsay-relay ./cmd/hearsay-directory

# all tests, in random order
test:
    go test -shuffle=on ./...

# all tests under the race detector (needs a C compiler; it may crash by itself: go.dev/issue/78156)
race:
    go test -race -shuffle=on ./...

# run every fuzz target for a time, or those that match, such as: just fuzz 10m chat/session
fuzz TIME="60s" PATTERN=".":
    go test ./... -list '^Fuzz' -json | bash .ci/fuzz {{TIME}} '{{PATTERN}}'

# the performance table: circuits beside a plain QUIC chain, one process per node
bench *ARGS:
    go run ./relay/lab/speed {{ARGS}}

# a relay's size, memory when idle, and time to its ready line, beside their targets (Linux)
figures:
    go test -run '^$' -bench BenchmarkProgram -benchtime 1x ./cmd/hearsay-relay

# benchmarks of single parts, circuits first
microbench:
    go test -run '^$' -bench . ./circuit/... ./directory/... ./relay/... ./chat/... ./tui/...

# formatting, vet, staticcheck, and the rules between packages
lint:
    test -z "$(go run mvdan.cc/gofumpt@v0.12.0 -l .)"
    go vet ./...
    go run honnef.co/go/tools/cmd/staticcheck@v0.8.2 ./...
    go test -run 'Arrows|Pure|Programs' ./cmd

# references to specifications resolve, labels are unique
specs:
    go test -run 'Spec|Labels' ./cmd

# the recorded vectors still hold
vectors:
    go test -count=1 -run 'Vector|Golden' ./...

# the screens look as recorded; just golden -update records them anew, to be read
golden *ARGS:
    go test -count=1 ./tui {{ARGS}}

# two people before terminals, in a network of processes (needs tmux); -captures records their screens
e2e *ARGS:
    HEARSAY_SCREEN=full go test -count=1 -tags e2e -timeout 15m -v -run 'TestTwoPeople|OnATerminal' ./cmd/hearsay {{ARGS}}

# a private network on this computer, with an echo contact
demo:
    go run ./cmd/hearsay demo

# attack a relay in a process of its own, and print figures beside targets
abuse:
    HEARSAY_ABUSE=full go test -count=1 -timeout 30m -v ./relay/lab/abuse

# the anonymity table: attacks on whole networks in virtual time, for so many pairs
anonymity PAIRS="1000":
    HEARSAY_ANONYMITY={{PAIRS}} go test -count=1 -timeout 4h -v -run 'TestLaboratory|TestMessengers' ./relay/lab/anonymity

# the table of attackers: so many networks of each, judged by the real rules
sybil NETWORKS="20":
    HEARSAY_SYBIL={{NETWORKS}} go test -count=1 -timeout 60m -v -run TestAttackersOfTheSimulation ./directory/sybil

# the tables of gossip: how fast a record reaches all, and bytes per relay and day
gossip NODES="10000":
    HEARSAY_GOSSIP={{NODES}} go test -count=1 -timeout 30m -v -run 'TestConvergence|TestBytesOfADay' ./directory/gossip

# signers under loss, crashes and a liar: so many networks with random trouble
signers RUNS="24":
    HEARSAY_CHAOS={{RUNS}} go test -count=1 -timeout 60m -v -run TestOneHistory ./directory/signer

# what a shaped link shows: sizes, times, cost and resets, with figures
cover:
    go test -count=1 -v -run 'Ticks|Sizes|Bytes|Padding|Switch|Burst|Turns|Outage|Resets' ./circuit/link

# how conversations heal when relays die, freeze, lose packets or move
heal RUNS="7":
    HEAL_RUNS={{RUNS}} go test -count=1 -timeout 30m -v -run 'TestHealing|TestLoss$|TestTalkBehindCover' ./relay/lab

# stop and kill processes of relays under a conversation: about ten minutes
faults:
    HEARSAY_FAULTS=full go test -count=1 -timeout 30m -v -run FaultsOfRelays ./cmd/hearsay

# a virtual day of chaos, then 200 kills of real clients, and of relays: half an hour
chaos HOURS="24" KILLS="200":
    HEARSAY_DAY={{HOURS}} go test -count=1 -timeout 30m -v -run TestDayOfChaos ./chat
    HEARSAY_KILLS={{KILLS}} go test -count=1 -timeout 60m -v -run ChaosOfProcesses ./cmd/hearsay

# a virtual day of chaos among ten people, then 20 messages a second for so many minutes while something breaks every 30 s
soak HOURS="24" MINUTES="60":
    HEARSAY_DAY={{HOURS}} go test -count=1 -timeout 30m -v -run TestDayOfChaos ./chat
    HEARSAY_SOAK={{MINUTES}} go test -count=1 -tags long -timeout 4h -v -run TestSoak ./cmd/hearsay

# full and slow disks under relays and clients, in a namespace of their own
disk:
    bash .ci/isolated "ip mount" go test -count=1 -tags long -timeout 30m -v -run TestDisk ./cmd/hearsay

# clients up to 36 hours and relays ten minutes off, in programs that are built with such clocks
skew:
    go test -count=1 -v -run 'SkewOfRelays|Clock' ./directory/gossip
    go test -count=1 -tags long -timeout 30m -v -run TestSkew ./cmd/hearsay

# a conversation while the kernel loses so many of 100 datagrams, each way
loss PERCENT="10" TEXTS="200":
    HEARSAY_LOSS={{PERCENT}} HEARSAY_LOSS_TEXTS={{TEXTS}} bash .ci/isolated "ip nft" go test -count=1 -tags long -timeout 30m -v -run TestLossOfDatagrams ./cmd/hearsay

# replace relays and directory by another release while two people write, and go back while one is away
upgrade:
    HEARSAY_UPGRADE=full go test -count=1 -timeout 20m -v -run ChaosOfProcesses ./cmd/hearsay

# send a file of so many MB through six relays, with all limits: at least 3 MB/s, cover off or a burst
files MB="50" COVER="off":
    HEARSAY_FILES={{MB}} HEARSAY_FILES_COVER={{COVER}} go test -count=1 -timeout 30m -v -run TestFileOverQUIC ./chat

# known flaws in what is linked, by the database of the Go project (needs the network)
vuln:
    go run golang.org/x/vuln/cmd/govulncheck@v1.8.0 ./...

# build a release twice, in two directories, and compare every byte; -targets linux/amd64 for less
release-check *ARGS:
    go run ./.ci/release check {{ARGS}}

# archives, lists of parts, sums and source of an annotated tag into DIR, with its notes checked
release VERSION DIR *ARGS:
    go run ./.ci/release build {{ARGS}} {{VERSION}} {{DIR}}

# the text of a release to fill in; `go run ./.ci/release notes FILE` checks it
notes VERSION:
    go run ./.ci/release template {{VERSION}}

# write the pages of the manual, one for each program, into a directory
man DIR="bin/man":
    mkdir -p {{DIR}}
    for p in hearsay hearsay-relay hearsay-directory; do go run -tags man ./cmd/$p man {{DIR}}; done

# what the server runs
ci: lint specs test race vectors
