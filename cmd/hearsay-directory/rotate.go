package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"hearsay/cmd/program"
	"hearsay/directory"
	"hearsay/relay"
)

type rotateFlags struct {
	home, certify, certificate string
	json                       bool
}

func rotateCommand() *cobra.Command {
	var f rotateFlags
	cmd := &cobra.Command{
		Use:   "rotate",
		Short: "Replace this signer's online key",
		Long: `Replace the key that signs snapshots, for instance because somebody may have
copied it, and certify the new one for 90 days. Its certificate has a higher
number, so the old key counts no more once a snapshot bears the new one. Stop
` + "`run`" + ` first and start it again afterwards. No other founder is needed.

If signer.key, the identity key that certifies, was moved to another computer
(together with a copy of the file network), it takes three steps:

  1. here:   hearsay-directory rotate                  makes a key and prints it
  2. there:  hearsay-directory rotate --certify KEY    prints a certificate
  3. here:   hearsay-directory rotate --certificate CERT

So a certificate is also renewed, before its 90 days are over: ` + "`run`" + ` warns from
14 days ahead on. While signer.key is here, ` + "`run`" + ` renews it by itself.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return founderError(rotate(cmd, f))
		},
	}
	homeFlag(cmd, &f.home)
	cmd.Flags().StringVar(&f.certify, "certify", "", "certify the online key of another computer, with the identity key here")
	cmd.Flags().StringVar(&f.certificate, "certificate", "", "certificate to install, as text or file")
	jsonFlag(cmd, &f.json)
	return cmd
}

func rotate(cmd *cobra.Command, f rotateFlags) error {
	switch {
	case f.certify != "" && f.certificate != "":
		return program.Usage("--certify where signer.key is, --certificate where `run` is", "--certify and --certificate exclude each other")
	case f.certify != "":
		return certify(cmd, f)
	case f.certificate != "":
		b, err := readInput(f.certificate, "HEARSAY-CERT:")
		if err != nil {
			return fmt.Errorf("certificate: %w", err)
		}
		raw, err := directory.CertificateBytes(b)
		if err != nil {
			return err
		}
		c, err := relay.InstallCertificate(f.home, raw)
		if err != nil {
			return err
		}
		return printRotated(cmd, f, c)
	}
	c, err := relay.RotateOnline(f.home)
	if errors.Is(err, relay.ErrIdentityOffline) {
		return requestCertificate(cmd, f)
	}
	if err != nil {
		return err
	}
	return printRotated(cmd, f, c)
}

// requestCertificate makes the next online key of a home whose identity key is
// elsewhere.
func requestCertificate(cmd *cobra.Command, f rotateFlags) error {
	pub, err := relay.NextOnline(f.home)
	if err != nil {
		return err
	}
	key := directory.RelayID(pub).String()
	if f.json {
		return program.PrintJSON(cmd.OutOrStdout(), struct {
			V    int    `json:"v"`
			Type string `json:"type"`
			Key  string `json:"key"`
		}{1, "online_key", key})
	}
	fmt.Fprintf(cmd.OutOrStdout(), `The identity key is not here, so a new online key waits for its certificate.
On the computer that has signer.key and the file network:

  hearsay-directory rotate --home HOME --certify %s

Then, here, with what that prints:

  hearsay-directory rotate --home %s --certificate HEARSAY-CERT:...

Until then the present key stays in use.
`, key, f.home)
	return nil
}

func certify(cmd *cobra.Command, f rotateFlags) error {
	key, err := directory.ParseRelayID(f.certify)
	if err != nil {
		return program.Usage("give the 52 characters that `rotate` printed on the other computer", "--certify: that is no key")
	}
	raw, err := relay.Certify(f.home, key)
	if errors.Is(err, relay.ErrIdentityOffline) {
		return program.Fail(program.ExitRefused, "--certify is for the computer that has signer.key", err)
	}
	if err != nil {
		return err
	}
	text := directory.CertificateText(raw)
	if f.json {
		return program.PrintJSON(cmd.OutOrStdout(), struct {
			V           int    `json:"v"`
			Type        string `json:"type"`
			Certificate string `json:"certificate"`
		}{1, "certificate", text})
	}
	fmt.Fprintln(cmd.OutOrStdout(), text)
	return nil
}

func printRotated(cmd *cobra.Command, f rotateFlags, c directory.Certificate) error {
	key := directory.RelayID(c.Online).String()
	if f.json {
		return program.PrintJSON(cmd.OutOrStdout(), struct {
			V        int    `json:"v"`
			Type     string `json:"type"`
			Key      string `json:"key"`
			Seq      uint64 `json:"seq"`
			NotAfter string `json:"not_after"`
		}{1, "rotated", key, c.Seq, program.JSONTime(c.NotAfter)})
	}
	fmt.Fprintf(cmd.OutOrStdout(), "The online key %s…\nis certified until %s, number %d.\nThe one before counts no more once a snapshot is signed.\nNext: hearsay-directory run --home %s\n", key[:16], c.NotAfter.UTC().Format(time.DateOnly), c.Seq, f.home)
	return nil
}
