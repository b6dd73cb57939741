"""The page at `/`. No I/O here."""

PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>visionfleet</title>
<style>
body { font: 1rem/1.5 sans-serif; max-width: 40rem; margin: 3rem auto; padding: 0 1rem }
</style>
</head>
<body>
<h1>visionfleet</h1>
<p>Image recognition: choose an image, and the answer is what it shows.</p>
<form method="post" enctype="multipart/form-data">
<input type="file" name="file" accept="image/*" required>
<button>Classify</button>
</form>
<p>The same from a shell:</p>
<pre>curl -F file=@cat.jpg http://HOST:PORT/</pre>
</body>
</html>
"""
