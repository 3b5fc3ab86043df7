// Package schemas embeds the JSON schemas of the documents that people and
// queues hand to the worker. They are complete in themselves, and what stands in
// their titles, descriptions, defaults and examples is their documentation.
package schemas
