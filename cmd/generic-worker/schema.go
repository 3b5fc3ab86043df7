package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/taskcluster/generic-worker/schemas"
)

func showPayloadSchemaCommand() *cobra.Command {
	return showSchema("show-payload-schema", "Print the JSON schema of task payloads on this platform", schemas.Payload)
}

func showConfigSchemaCommand() *cobra.Command {
	return showSchema("show-config-schema", "Print the JSON schema of the configuration file", schemas.Config)
}

func showPolicySchemaCommand() *cobra.Command {
	return showSchema("show-policy-schema", "Print the JSON schema of policies for verify-cot", schemas.ChainPolicy)
}

func showSchema(name, short string, schema []byte) *cobra.Command {
	return &cobra.Command{
		Use:   name,
		Short: short,
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if _, err := c.OutOrStdout().Write(schema); err != nil {
				return fmt.Errorf("cannot print the schema: %w", err)
			}
			return nil
		},
	}
}
