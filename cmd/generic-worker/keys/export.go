package keys

import (
	"time"

	"github.com/spf13/cobra"

	"github.com/taskcluster/generic-worker/cmd/generic-worker/exit"
	"github.com/taskcluster/generic-worker/cot/keyrepo"
	"github.com/taskcluster/generic-worker/gpg"
)

func exportCommand() *cobra.Command {
	s, implementation, wanted := &source{}, "", []string(nil)
	c := &cobra.Command{
		Use:   "export [PATH...]",
		Short: "Print public keys in ASCII armor",
		Long: "Print the public parts of keys in ASCII armor, each key once, with all certifications. PATH is as for\n" +
			"generic-worker keys list; of a key repository, and with --state, those keys are printed that count now.",
		Example: "  generic-worker keys export worker.sec > worker.pub\n" +
			"  generic-worker keys export --state /var/lib/generic-worker --implementation scriptworker | gpg --import",
		RunE: func(c *cobra.Command, paths []string) error {
			verdicts, err := s.verdicts(c.Context(), paths, time.Now())
			if err != nil {
				return err
			}
			ring, err := chosen(verdicts, implementation, wanted)
			if err != nil {
				return err
			}
			for _, k := range ring.Keys() {
				text, err := k.ArmorPublic()
				if err != nil {
					return err
				}
				if _, err := c.OutOrStdout().Write(text); err != nil {
					return err
				}
			}
			return nil
		},
	}
	s.flags(c)
	c.Flags().StringVar(&implementation, "implementation", "", "only the keys of this worker implementation")
	c.Flags().StringSliceVar(&wanted, "key", nil, "only the key with this fingerprint")
	return c
}

// chosen returns the keys to export; each that was asked for must be there.
func chosen(verdicts []keyrepo.Verdict, implementation string, wanted []string) (*gpg.Keyring, error) {
	var found []*gpg.Key
	for _, v := range verdicts {
		if implementation != "" && v.Implementation != implementation || v.Implementation != "" && v.Err != nil {
			continue
		}
		found = append(found, v.Key)
	}
	ring := gpg.NewKeyring(found...)
	if len(wanted) > 0 {
		found = nil
		for _, fingerprint := range wanted {
			k, ok := ring.Find(fingerprint)
			if !ok {
				return nil, exit.Errorf(exit.Usage, "there is no key %s that counts", fingerprint)
			}
			found = append(found, k)
		}
		ring = gpg.NewKeyring(found...)
	}
	if len(ring.Keys()) == 0 {
		return nil, exit.Errorf(exit.Usage, "there is no key to export")
	}
	return ring, nil
}
