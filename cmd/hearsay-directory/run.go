package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"hearsay/cmd/program"
	"hearsay/directory"
	"hearsay/relay"
)

func runCommand(logs *program.LogFlags) *cobra.Command {
	var home string
	var recommend []string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Serve the directory until told to stop",
		Long: `Serve the network of this home, at the address that ` + "`init` or `founder card`" + ` was
given, or, without one, by dialling out alone: take descriptors of relays, probe
them, sign a snapshot each epoch, with the other signers if there are any, and hand
it out. Stops at SIGINT or SIGTERM.

--recommend names software of relays that this signer recommends, as it stands in
their descriptors; what more than half of the signers recommend counts. From then on
other software raises a relay's score, and so does being three releases behind. Name
every release that is good.`,
		Example: `  hearsay-directory run --home anna
  hearsay-directory run --recommend 'hearsay 0.4.0' --recommend 'hearsay 0.4.1'`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return founderError(run(cmd, logs, home, recommend, asJSON))
		},
	}
	homeFlag(cmd, &home)
	cmd.Flags().StringArrayVar(&recommend, "recommend", nil, "software of relays that this signer recommends; may be repeated, up to 16 times")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the ready line as JSON")
	return cmd
}

// patience is how long a directory waits for a snapshot before it says for what.
const patience = 5 * time.Second

func run(cmd *cobra.Command, logs *program.LogFlags, home string, recommend []string, asJSON bool) error {
	log, err := logs.Logger(cmd.ErrOrStderr())
	if err != nil {
		return err
	}
	n, err := relay.NewDirectoryNode(relay.DirectoryConfig{Home: home, Recommended: recommend, Log: log})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(cmd.Context())
	defer cancel()
	done := make(chan error, 1) // Run's one result
	go func() { done <- n.Run(ctx) }()
	file := n.Network()
	slow := time.NewTimer(patience)
	defer slow.Stop()
	for served := false; !served; {
		select {
		case err := <-done:
			return err
		case <-n.Ready():
			served = true
		case <-slow.C:
			if k := directory.SignThreshold(len(file.Signers)); k > 1 {
				program.Warn(cmd.ErrOrStderr(), name, "no snapshot yet: %d of the %d signers must run for one; this one serves, and waits for the others", k, len(file.Signers))
			}
		}
	}
	ready := program.Ready{Program: name, ID: n.ID().String(), Listen: n.Addr().String(), Network: file.Name, Lab: file.Lab}
	if err := ready.Print(cmd.OutOrStdout(), asJSON); err != nil {
		cancel()
		<-done
		return err
	}
	if file.Lab {
		program.Warn(cmd.ErrOrStderr(), name, "LAB NETWORK: no anonymity")
	}
	if file.ExpiresSoon(time.Now()) {
		program.Warn(cmd.ErrOrStderr(), name, "the network file expires on %s, and with it the network: `founder amend --expires 730` renews it", file.Expires.UTC().Format(time.DateOnly))
	}
	return <-done
}
