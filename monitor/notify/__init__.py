"""What is told to whom about an incident, when and in which words; nothing here sends or waits.

A line of the incidents output comes in (`outbox.Outbox.take`), events for channels are queued
(`intake`), one at a time is due (`outbox.Outbox.next_event`), and its outcome decides what follows
(`outcomes`). The bodies are made when an event is sent (`pagerduty`, `webhook`).
"""
