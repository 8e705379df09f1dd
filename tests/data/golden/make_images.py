"""Pictures as files and as Pillow decodes and resizes them, for tests/data/decode_image_test.cc.

    # Pillow 12.0.0, torchvision 0.26.0, numpy 2, safetensors 0.8
    python make_images.py images.safetensors

Names: file.NAME u8 [bytes], pixels.NAME u8 [H, W, 3] as Image.convert("RGB") gives them;
resize.FILTER.WxH of resize.source; fit.shorter_side of resize.source.
"""

import io
import struct
import sys
import zlib

import numpy as np
from PIL import Image, ImageOps
from safetensors.numpy import save_file
from torchvision import transforms

rng = np.random.default_rng(7)
W, H = 23, 17


def smooth(channels):
    y, x = np.mgrid[0:H, 0:W]
    planes = [127 + 100 * np.sin(x / (3 + c) + c) * np.cos(y / (4 - c)) for c in range(channels)]
    return np.clip(np.stack(planes, -1) + rng.normal(0, 6, (H, W, channels)), 0, 255).astype(
        np.uint8
    )


def png16(array):
    """A 16-bit RGB PNG by hand: Pillow writes none."""
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in array)

    def chunk(kind, body):
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", array.shape[1], array.shape[0], 16, 2, 0, 0, 0))
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


def encode(image, kind, **options):
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


tensors = {}


def add(name, data, pixels=None):
    tensors["file." + name] = np.frombuffer(data, np.uint8).copy()
    if pixels is None:
        pixels = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
    tensors["pixels." + name] = np.ascontiguousarray(pixels)


rgb, rgba, gray = (
    Image.fromarray(smooth(3)),
    Image.fromarray(smooth(4)),
    Image.fromarray(smooth(1)[..., 0]),
)
add("png_rgb", encode(rgb, "PNG"))
add("png_gray", encode(gray, "PNG"))
add("png_rgba", encode(rgba, "PNG"))
add("png_gray_alpha", encode(Image.merge("LA", (gray, gray.rotate(180))), "PNG"))
add("png_palette", encode(rgb.quantize(16), "PNG"))
add("png_palette_transparent", encode(rgb.quantize(16), "PNG", transparency=3))
add("png_one_bit", encode(gray.convert("1"), "PNG"))
deep = rng.integers(0, 65536, (H, W, 3))
add("png_16_bit", png16(deep), ((deep * 255 + 32767) // 65535).astype(np.uint8))
add("jpeg_444", encode(rgb, "JPEG", quality=90, subsampling=0))
add("jpeg_420", encode(rgb, "JPEG", quality=80, subsampling=2))
add("jpeg_gray", encode(gray, "JPEG", quality=90))
add("jpeg_progressive", encode(rgb, "JPEG", quality=85, progressive=True))
add("jpeg_cmyk", encode(rgb.convert("CMYK"), "JPEG", quality=90))
for orientation in range(1, 9):
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encode(rgb, "JPEG", quality=95, subsampling=0, exif=exif)
    add(
        f"jpeg_exif_{orientation}",
        data,
        np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data)))),
    )

tensors["resize.source"] = np.asarray(rgb)
filters = {"nearest": 0, "lanczos": 1, "bilinear": 2, "bicubic": 3, "box": 4}
for name, number in filters.items():
    for width, height in ((8, 8), (16, 31), (64, 40), (5, 17)):
        tensors[f"resize.{name}.{width}x{height}"] = np.asarray(rgb.resize((width, height), number))
tensors["resize.source_rgba"] = np.asarray(rgba)
tensors["resize_rgba.bicubic.9x12"] = np.asarray(rgba.resize((9, 12), 3))
fit = transforms.Compose([transforms.Resize(12), transforms.CenterCrop(12)])
tensors["fit.shorter_side"] = np.asarray(fit(rgb))
tensors["fit.stretch"] = np.asarray(transforms.Resize((12, 12))(rgb))
tensors["gray.luma"] = np.asarray(rgb.convert("L"))
save_file({k: np.ascontiguousarray(v) for k, v in tensors.items()}, sys.argv[1])
