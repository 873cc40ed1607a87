"""What the measurements of the bench stand on: servers, installations, processes, people, results and the document."""
