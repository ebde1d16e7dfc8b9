"""What a run tells about itself: tables, pictures, report.json and a page."""
