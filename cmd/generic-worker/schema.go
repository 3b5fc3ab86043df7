package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/taskcluster/generic-worker/schemas"
)

func showPayloadSchemaCommand() *cobra.Command {
	var docker bool
	c := showSchema("show-payload-schema", "Print the JSON schema of task payloads on this platform", func() []byte {
		if docker {
			return schemas.PayloadDocker
		}
		return schemas.Payload
	})
	c.Flags().BoolVar(&docker, "docker-worker", false, "print that of payloads for docker-worker, which are those with an image")
	return c
}

func showConfigSchemaCommand() *cobra.Command {
	return showSchema("show-config-schema", "Print the JSON schema of the configuration file", func() []byte { return schemas.Config })
}

func showPolicySchemaCommand() *cobra.Command {
	return showSchema("show-policy-schema", "Print the JSON schema of policies for verify-cot", func() []byte { return schemas.ChainPolicy })
}

func showSchema(name, short string, schema func() []byte) *cobra.Command {
	return &cobra.Command{
		Use:   name,
		Short: short,
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if _, err := c.OutOrStdout().Write(schema()); err != nil {
				return fmt.Errorf("cannot print the schema: %w", err)
			}
			return nil
		},
	}
}
